"""Slips of the survey's text that no number can show: where, as printed, as it should be."""

SLIPS: tuple[tuple[str, str, str], ...] = (
    (
        "Remark 2.1, footnote 4",
        r"the text has $\mu_1$ and $\mu_2$, the proof $\mu_0$ and $\mu_1$",
        r"one pair of names; $f_0$, $f_1$ are $f$ of them",
    ),
    (
        "Remark 2.1",
        r"for all $x \in D$",
        r"for almost every $x$; and $V$ must be integrable against both measures",
    ),
    (
        "Remark 2.1",
        r"local minimisers are unique under $\Phi$",
        r"more holds: $F$ is convex, so each of them is a global minimiser",
    ),
    (
        "2.3",
        r"$\delta_{H(\theta)}(dw) \times \rho(dw)$",
        r"$\delta_{H(\theta)}(dw) \times \rho(d\theta)$",
    ),
    (
        "2.3",
        r"the Jensen line has $\rho(\theta)$ without $d\theta$, and $\rho_N$ for a signed measure",
        r"$\rho(d\theta)$; call it $m_N$",
    ),
    (
        "(2.13), (3.12), (3.30)",
        r"$\bar V(H, \theta)$ here, $\bar V(\theta, H)$ there",
        r"one order of the arguments, here $(H, \theta)$",
    ),
    ("after (3.19)", r"the integrals are over $\Omega$", r"over $\Theta$"),
    (
        r"$\frac{\delta G}{\delta\rho}$, $\frac{\delta G}{\delta H}$",
        r"$\rho(d\theta)$ under the integrals at $\rho_*$",
        r"$\rho_*(d\theta)$",
    ),
    (
        "(3.28)",
        r"stated beside the equations with the same $i$",
        r"right as it is: number $i$ goes with equation number $i - 1$",
    ),
    ("proof of Lemma 3.2", r"$V_{t,i}^\theta$ is not bold", "it is a vector"),
    (
        "(4.5), (4.8), 4.3",
        r"$\mu_t$ in the double integrals",
        r"$\mu$, and $F_\tau(\mu_*)$ for $F(\mu_*)$",
    ),
    ("after (4.5)", r"$F(\mu) \ge F(\mu_*)$", r"$F_\tau(\mu) \ge F_\tau(\mu_*)$"),
    ("5.1 (ii)", "a qualitative rate", "quantitative is asked for in the next sentence"),
    (
        "(5.1)",
        r"sum over $i$ up to $N_2$ of $w_j$; $\theta_j$ with $j$ up to $N_1$; no normalisation",
        r"index $j$; $\theta_i$; $1/N_1$ and $1/N_2$",
    ),
    ("5.2", r"$n = d$", r"clashes with $d = n + 1$ of (2.2)"),
    (
        "[JMM19]",
        "a copy of the entry [EMW19]",
        "A. Javanmard, M. Mondelli, A. Montanari, Ann. Statist. 48 (2020) 3619-3642",
    ),
)
