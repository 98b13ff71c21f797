"""What care goes with what: diagnoses that follow from an ECG's conditions, what is done and what is given for them.

Codes are plain identifiers of ICD-9-CM, ICD-10-CM and ICD-10-PCS; the words beside them are our own.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """A diagnosis or procedure in both versions of the ICD."""

    words: str
    icd9: str
    icd10: str


DIAGNOSES: dict[str, Code] = {
    "af": Code("Atrial fibrillation", "42731", "I4891"),
    "flutter": Code("Atrial flutter", "42732", "I4892"),
    "svt": Code("Supraventricular tachycardia", "4270", "I471"),
    "pac": Code("Early beats from the atria", "42761", "I491"),
    "pvc": Code("Early beats from the ventricles", "42769", "I493"),
    "slow": Code("Slow heart rate", "42789", "R001"),
    "fast": Code("Fast heart rate", "7850", "R000"),
    "av1": Code("AV block, first degree", "42611", "I440"),
    "av2": Code("AV block, second degree", "42613", "I441"),
    "av3": Code("AV block, complete", "4260", "I442"),
    "lbbb": Code("Left bundle branch block", "4263", "I447"),
    "rbbb": Code("Right bundle branch block", "4264", "I4510"),
    "lafb": Code("Left anterior fascicular block", "4262", "I444"),
    "wpw": Code("Ventricular preexcitation", "4267", "I456"),
    "large": Code("Enlarged heart", "4293", "I517"),
    "lung pressure": Code("Pulmonary hypertension", "4160", "I2720"),
    "stemi anterior": Code("Acute infarction of the anterior wall, ST elevation", "41011", "I2109"),
    "stemi inferior": Code("Acute infarction of the inferior wall, ST elevation", "41041", "I2119"),
    "stemi lateral": Code("Acute infarction of another wall, ST elevation", "41051", "I2129"),
    "nstemi": Code("Acute infarction without ST elevation", "41071", "I214"),
    "old infarct": Code("Old myocardial infarction", "412", "I252"),
    "coronary": Code("Coronary artery disease", "41401", "I2510"),
    "unstable": Code("Unstable angina", "4111", "I200"),
    "long qt": Code("Long QT syndrome", "42682", "I4581"),
    "abnormal ecg": Code("Abnormal ECG", "79431", "R9431"),
    "pacemaker": Code("Pacemaker in place", "V4501", "Z950"),
    "effusion": Code("Pericardial effusion", "4239", "I313"),
    "failure": Code("Heart failure", "4280", "I5022"),
    "pressure": Code("High blood pressure", "4019", "I10"),
    "diabetes": Code("Diabetes mellitus type 2", "25000", "E119"),
    "lipids": Code("High blood lipids", "2724", "E785"),
    "kidney": Code("Acute kidney injury", "5849", "N179"),
    "copd": Code("Chronic obstructive lung disease", "496", "J449"),
    "pneumonia": Code("Pneumonia", "486", "J189"),
    "smoker": Code("Former tobacco use", "V1582", "Z87891"),
    "reflux": Code("Gastro-oesophageal reflux", "53081", "K219"),
    "depression": Code("Depression", "311", "F329"),
    "thyroid": Code("Underactive thyroid", "2449", "E039"),
    "potassium low": Code("Low potassium", "2768", "E876"),
    "calcium high": Code("High calcium", "27542", "E8352"),
    "chest pain": Code("Chest pain", "78650", "R079"),
}
PROCEDURES: dict[str, Code] = {
    "angiography": Code("Left heart catheterisation", "3722", "4A023N7"),
    "stent": Code("Coronary artery dilated with a drug-eluting stent", "3607", "027034Z"),
    "bypass": Code("Coronary bypass graft", "3611", "021009W"),
    "cardioversion": Code("Electrical cardioversion", "9962", "5A2204Z"),
    "ablation": Code("Ablation in the heart by catheter", "3734", "02583ZZ"),
    "pacing": Code("Pacemaker generator implanted", "3783", "0JH606Z"),
    "echo": Code("Ultrasound of the heart", "8872", "B245ZZ4"),
    "drain": Code("Pericardial drainage", "370", "0W9D30Z"),
    "ventilation": Code("Mechanical ventilation", "9671", "5A1945Z"),
}

FOLLOWS: dict[str, tuple[tuple[str, float], ...]] = {
    "atrial fibrillation": (("af", 0.95), ("failure", 0.35), ("pressure", 0.5)),
    "atrial flutter": (("flutter", 0.95), ("af", 0.2), ("failure", 0.25)),
    "supraventricular tachycardia": (("svt", 0.95),),
    "sinus bradycardia": (("slow", 0.5),),
    "sinus tachycardia": (("fast", 0.4), ("pneumonia", 0.25)),
    "premature atrial complex": (("pac", 0.4),),
    "premature ventricular complex": (("pvc", 0.5),),
    "first degree av block": (("av1", 0.5),),
    "second degree av block": (("av2", 0.9),),
    "third degree av block": (("av3", 0.95),),
    "left bundle branch block": (("lbbb", 0.9), ("failure", 0.5), ("coronary", 0.4)),
    "right bundle branch block": (("rbbb", 0.8),),
    "left anterior fascicular block": (("lafb", 0.5), ("coronary", 0.3)),
    "left ventricular hypertrophy": (("pressure", 0.85), ("large", 0.4), ("failure", 0.25)),
    "right ventricular hypertrophy": (("lung pressure", 0.75), ("copd", 0.45)),
    "right axis deviation": (("copd", 0.3),),
    "anterior st elevation": (("stemi anterior", 0.95), ("coronary", 0.9)),
    "inferior st elevation": (("stemi inferior", 0.95), ("coronary", 0.9)),
    "lateral st elevation": (("stemi lateral", 0.95), ("coronary", 0.9)),
    "anterior st depression": (("nstemi", 0.6), ("coronary", 0.7)),
    "inferior st depression": (("nstemi", 0.5), ("coronary", 0.7)),
    "lateral st depression": (("nstemi", 0.5), ("coronary", 0.7)),
    "inferior myocardial infarction": (("old infarct", 0.85), ("coronary", 0.9)),
    "anteroseptal myocardial infarction": (("old infarct", 0.85), ("coronary", 0.9)),
    "anterior t wave inversion": (("unstable", 0.35), ("abnormal ecg", 0.3)),
    "inferior t wave inversion": (("unstable", 0.25), ("abnormal ecg", 0.3)),
    "lateral t wave inversion": (("unstable", 0.25), ("abnormal ecg", 0.3)),
    "long qt interval": (("long qt", 0.6), ("potassium low", 0.3)),
    "short qt interval": (("calcium high", 0.4), ("abnormal ecg", 0.3)),
    "left atrial enlargement": (("large", 0.3), ("pressure", 0.5)),
    "right atrial enlargement": (("copd", 0.5), ("lung pressure", 0.3)),
    "early repolarization": (("chest pain", 0.5),),
    "low qrs voltage": (("effusion", 0.4), ("copd", 0.25)),
    "paced rhythm": (("pacemaker", 0.97), ("av3", 0.3), ("af", 0.3)),
    "ventricular preexcitation": (("wpw", 0.95), ("svt", 0.2)),
}
COMMON: tuple[tuple[str, float], ...] = (
    ("pressure", 0.4),
    ("lipids", 0.35),
    ("diabetes", 0.2),
    ("reflux", 0.2),
    ("depression", 0.13),
    ("smoker", 0.2),
    ("thyroid", 0.1),
    ("kidney", 0.12),
    ("copd", 0.07),
    ("pneumonia", 0.07),
    ("chest pain", 0.1),
)
"""Diagnoses that anyone may have, each with its chance at 45 years of age."""

TREATED: dict[str, tuple[tuple[str, float], ...]] = {  # diagnosis -> procedures
    "stemi anterior": (("angiography", 0.9), ("stent", 0.8)),
    "stemi inferior": (("angiography", 0.9), ("stent", 0.8)),
    "stemi lateral": (("angiography", 0.9), ("stent", 0.8)),
    "nstemi": (("angiography", 0.7), ("stent", 0.4), ("bypass", 0.15)),
    "unstable": (("angiography", 0.6),),
    "af": (("cardioversion", 0.2), ("echo", 0.3)),
    "flutter": (("cardioversion", 0.3), ("ablation", 0.3)),
    "svt": (("ablation", 0.35),),
    "wpw": (("ablation", 0.45),),
    "av2": (("pacing", 0.4),),
    "av3": (("pacing", 0.7),),
    "effusion": (("echo", 0.7), ("drain", 0.3)),
    "failure": (("echo", 0.6),),
    "pneumonia": (("ventilation", 0.1),),
}


@dataclass(frozen=True)
class Drug:
    """One way in which a drug is given."""

    drug: str
    form: str
    strength: str
    dose: str
    unit: str
    per_day: int
    route: str


DRUGS: dict[str, Drug] = {
    "metoprolol": Drug("Metoprolol Tartrate", "TAB", "25mg Tablet", "25", "mg", 2, "PO"),
    "diltiazem": Drug("Diltiazem", "TAB", "30mg Tablet", "30", "mg", 4, "PO"),
    "apixaban": Drug("Apixaban", "TAB", "5mg Tablet", "5", "mg", 2, "PO"),
    "warfarin": Drug("Warfarin", "TAB", "5mg Tablet", "5", "mg", 1, "PO"),
    "amiodarone": Drug("Amiodarone", "TAB", "200mg Tablet", "200", "mg", 1, "PO"),
    "sotalol": Drug("Sotalol", "TAB", "80mg Tablet", "80", "mg", 2, "PO"),
    "adenosine": Drug("Adenosine", "VIAL", "6mg/2mL Vial", "6", "mg", 1, "IV"),
    "furosemide": Drug("Furosemide", "TAB", "40mg Tablet", "40", "mg", 1, "PO"),
    "spironolactone": Drug("Spironolactone", "TAB", "25mg Tablet", "25", "mg", 1, "PO"),
    "lisinopril": Drug("Lisinopril", "TAB", "10mg Tablet", "10", "mg", 1, "PO"),
    "amlodipine": Drug("Amlodipine", "TAB", "5mg Tablet", "5", "mg", 1, "PO"),
    "atorvastatin": Drug("Atorvastatin", "TAB", "80mg Tablet", "80", "mg", 1, "PO"),
    "aspirin": Drug("Aspirin", "TAB", "81mg Tablet", "81", "mg", 1, "PO"),
    "clopidogrel": Drug("Clopidogrel", "TAB", "75mg Tablet", "75", "mg", 1, "PO"),
    "heparin drip": Drug("Heparin Sodium", "BAG", "25,000 unit Premix Bag", "1000", "UNIT", 24, "IV"),
    "heparin": Drug("Heparin", "VIAL", "5000 Units / mL- 1mL Vial", "5000", "UNIT", 3, "SC"),
    "nitroglycerin": Drug("Nitroglycerin SL", "TAB", "0.4mg SL Tablet", "0.4", "mg", 1, "SL"),
    "magnesium": Drug("Magnesium Sulfate", "BAG", "2 g / 50 mL Premix Bag", "2", "gm", 1, "IV"),
    "potassium": Drug("Potassium Chloride", "TAB", "20mEq Tablet", "40", "mEq", 1, "PO"),
    "atropine": Drug("Atropine Sulfate", "SYR", "1mg Syringe", "0.5", "mg", 1, "IV"),
    "insulin": Drug("Insulin", "VIAL", "Dummy Package for Sliding Scale", "0", "UNIT", 4, "SC"),
    "metformin": Drug("MetFORMIN (Glucophage)", "TAB", "500mg Tablet", "500", "mg", 2, "PO"),
    "albuterol": Drug("Albuterol 0.083% Neb Soln", "NEB", "2.5mg/3mL Vial", "1", "NEB", 4, "IH"),
    "ceftriaxone": Drug("CeftriaXONE", "BAG", "1g/50mL Bag", "1", "gm", 1, "IV"),
    "levothyroxine": Drug("Levothyroxine Sodium", "TAB", "50mcg Tablet", "50", "mcg", 1, "PO"),
    "sertraline": Drug("Sertraline", "TAB", "50mg Tablet", "50", "mg", 1, "PO"),
    "pantoprazole": Drug("Pantoprazole", "TAB", "40mg Tablet", "40", "mg", 1, "PO"),
    "acetaminophen": Drug("Acetaminophen", "TAB", "325mg Tablet", "650", "mg", 4, "PO"),
    "flush": Drug("Sodium Chloride 0.9%  Flush", "SYR", "10 mL Syringe", "3", "mL", 3, "IV"),
    "senna": Drug("Senna", "TAB", "1 Tablet", "1", "TAB", 2, "PO"),
}
GIVEN: dict[str, tuple[tuple[str, float], ...]] = {  # diagnosis -> drugs
    "af": (("metoprolol", 0.65), ("diltiazem", 0.25), ("apixaban", 0.5), ("warfarin", 0.3), ("amiodarone", 0.2)),
    "flutter": (("metoprolol", 0.5), ("apixaban", 0.6), ("amiodarone", 0.25), ("sotalol", 0.1)),
    "svt": (("adenosine", 0.6), ("metoprolol", 0.6)),
    "wpw": (("sotalol", 0.2),),
    "slow": (("atropine", 0.2),),
    "av2": (("atropine", 0.3),),
    "av3": (("atropine", 0.4),),
    "stemi anterior": (("aspirin", 1.0), ("clopidogrel", 0.9), ("heparin drip", 0.9), ("atorvastatin", 0.95)),
    "stemi inferior": (("aspirin", 1.0), ("clopidogrel", 0.9), ("heparin drip", 0.9), ("atorvastatin", 0.95)),
    "stemi lateral": (("aspirin", 1.0), ("clopidogrel", 0.9), ("heparin drip", 0.9), ("atorvastatin", 0.95)),
    "nstemi": (("aspirin", 1.0), ("heparin drip", 0.8), ("metoprolol", 0.7), ("nitroglycerin", 0.5)),
    "unstable": (("aspirin", 0.9), ("nitroglycerin", 0.7)),
    "coronary": (("aspirin", 0.85), ("atorvastatin", 0.8), ("metoprolol", 0.6)),
    "old infarct": (("aspirin", 0.8), ("lisinopril", 0.5)),
    "long qt": (("magnesium", 0.6), ("potassium", 0.5)),
    "potassium low": (("potassium", 0.9),),
    "failure": (("furosemide", 0.9), ("lisinopril", 0.5), ("spironolactone", 0.3)),
    "lung pressure": (("furosemide", 0.5),),
    "pressure": (("lisinopril", 0.45), ("amlodipine", 0.4)),
    "lipids": (("atorvastatin", 0.7),),
    "diabetes": (("insulin", 0.7), ("metformin", 0.3)),
    "copd": (("albuterol", 0.8),),
    "pneumonia": (("ceftriaxone", 0.7),),
    "thyroid": (("levothyroxine", 0.9),),
    "depression": (("sertraline", 0.6),),
    "reflux": (("pantoprazole", 0.7),),
}
GIVEN_TO_ALL = (("heparin", 0.5), ("acetaminophen", 0.7), ("flush", 0.8), ("senna", 0.3))
