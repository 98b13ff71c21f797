"""Other ways to draw ECGs from a condition, to stand beside SE-Diff: written anew from the ideas of their papers.

wgan      a conditional Wasserstein GAN with gradient penalty (after Adib et al., 2022)
sssd      a diffusion in signal space whose network is made of state spaces (after Alcaraz and Strodthoff, 2023)
beatdiff  a diffusion of one beat, which is then tiled to 10 s at the asked heart rate (after Bedin et al., 2024)

Each is told what SE-Diff is told, learns eight leads and derives the four others.
"""
