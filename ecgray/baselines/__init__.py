"""Other ways to draw ECGs from a condition, to stand beside SE-Diff: written anew from the ideas of their papers.

wgan      a conditional Wasserstein GAN of strips with gradient penalty (after Adib et al., 2022)
sssd      a diffusion of strips whose network is made of state spaces (after Alcaraz and Strodthoff, 2023)
beatdiff  a diffusion of one beat, which is then tiled to 10 s at the asked heart rate (after Bedin et al., 2024)

Each is told text, age, sex and heart rate, learns eight leads and derives the four others. Both diffusions have our
schedule, prediction and sampler, and beatdiff our network too: what differs is what a yardstick is to tell apart.
DiffuSETS is no baseline of this package but SE-Diff without its own parts: `train_diffusion --preset peer`.
"""
