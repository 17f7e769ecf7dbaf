"""Slips of the survey's text that no number can show: where, as printed, as it should be."""

SLIPS: tuple[tuple[str, str, str], ...] = (
    (
        "Remark 2.1, footnote 4",
        "the text has mu_1 and mu_2, the proof mu_0 and mu_1",
        "one pair of names; f_0, f_1 are f of them",
    ),
    (
        "Remark 2.1",
        "for all x in D",
        "for almost every x; and V must be integrable against both measures",
    ),
    (
        "Remark 2.1",
        "local minimisers are unique under Phi",
        "more holds: F is convex, so each of them is a global minimiser",
    ),
    ("2.3", "delta_{H(theta)}(dw) x rho(dw)", "delta_{H(theta)}(dw) x rho(dtheta)"),
    (
        "2.3",
        "the Jensen line has rho(theta) without dtheta, and rho_N for a signed measure",
        "rho(dtheta); call it m_N",
    ),
    (
        "(2.13), (3.12), (3.30)",
        "Vbar(H, theta) here, Vbar(theta, H) there",
        "one order of the arguments, here (H, theta)",
    ),
    ("after (3.19)", "the integrals are over Omega", "over Theta"),
    ("dG/drho, dG/dH", "rho(dtheta) under the integrals at rho_*", "rho_*(dtheta)"),
    (
        "(3.28)",
        "stated beside the equations with the same i",
        "right as it is: number i goes with equation number i - 1",
    ),
    ("proof of Lemma 3.2", "V_{t,i}^theta is not bold", "it is a vector"),
    ("(4.5), (4.8), 4.3", "mu_t in the double integrals", "mu, and F_tau(mu_*) for F(mu_*)"),
    ("after (4.5)", "F(mu) >= F(mu_*)", "F_tau(mu) >= F_tau(mu_*)"),
    ("5.1 (ii)", "a qualitative rate", "quantitative is asked for in the next sentence"),
    (
        "(5.1)",
        "sum over i up to N_2 of w_j; theta_j with j up to N_1; no normalisation",
        "index j; theta_i; 1/N_1 and 1/N_2",
    ),
    ("5.2", "n = d", "clashes with d = n + 1 of (2.2)"),
    (
        "[JMM19]",
        "a copy of the entry [EMW19]",
        "A. Javanmard, M. Mondelli, A. Montanari, Ann. Statist. 48 (2020) 3619-3642",
    ),
)
