"""SciPy's solvers on the same problems: iterations, evaluations, the time of a run, and what of it no evaluation took.

Reads what is wanted from standard input and writes what was measured to standard output, both as JSON; says what it does on standard error.
"""

import json
import os
import sys
import time
import warnings

# Before NumPy is loaded: vectors are short, and we have one thread too.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import scipy
from scipy import optimize

warnings.filterwarnings("ignore")
np.seterr(all="ignore")


def chain(x):
    return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))


def chain_gradient(x):
    gradient = np.zeros_like(x)
    rest = x[1:] - x[:-1] ** 2
    gradient[:-1] = -400 * x[:-1] * rest - 2 * (1 - x[:-1])
    gradient[1:] += 200 * rest
    return gradient


def valleys(x):
    a, b = x[::2], x[1::2]
    rest = b - a * a
    left = 1 - a
    return float(100 * rest.dot(rest) + left.dot(left))


def valleys_gradient(x):
    a, b = x[::2], x[1::2]
    rest = b - a * a
    gradient = np.empty_like(x)
    gradient[::2] = -400 * a * rest - 2 * (1 - a)
    gradient[1::2] = 200 * rest
    return gradient


def rows(*elements):
    return np.array(elements, dtype=float)


BARD_Y = np.array([0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.1, 4.39])
BARD_U = np.arange(1.0, 16)
BARD_V = 16 - BARD_U
BARD_W = np.minimum(BARD_U, BARD_V)
HALF = [0.0009, 0.0044, 0.0175, 0.054, 0.1295, 0.242, 0.3521]
GAUSSIAN_Y = np.array(HALF + [0.3989] + HALF[::-1])
GAUSSIAN_T = (7 - np.arange(15.0)) / 2
KOWALIK_Y = np.array([0.1957, 0.1947, 0.1735, 0.16, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246])
KOWALIK_U = np.array([4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625])
TEN = np.arange(1.0, 11)
BOX_T = TEN / 10
DENNIS_T = np.arange(1.0, 21) / 5
S5, S10, S90 = np.sqrt([5, 10, 90])


def rosenbrock(x):
    r = np.empty_like(x)
    r[::2] = 10 * (x[1::2] - x[::2] ** 2)
    r[1::2] = 1 - x[::2]
    return r


def rosenbrock_jacobian(x):
    n = len(x)
    J = np.zeros((n, n))
    even = np.arange(0, n, 2)
    J[even, even] = -20 * x[::2]
    J[even, even + 1] = 10
    J[even + 1, even] = -1
    return J


def singular(x):
    a, b, c, d = x[::4], x[1::4], x[2::4], x[3::4]
    return np.stack([a + 10 * b, S5 * (c - d), (b - 2 * c) ** 2, S10 * (a - d) ** 2], axis=1).ravel()


def singular_jacobian(x):
    n = len(x)
    J = np.zeros((n, n))
    i = np.arange(0, n, 4)
    inner, outer = 2 * (x[1::4] - 2 * x[2::4]), 2 * S10 * (x[::4] - x[3::4])
    J[i, i], J[i, i + 1] = 1, 10
    J[i + 1, i + 2], J[i + 1, i + 3] = S5, -S5
    J[i + 2, i + 1], J[i + 2, i + 2] = inner, -2 * inner
    J[i + 3, i], J[i + 3, i + 3] = outer, -outer
    return J


def helical(x):
    angle = np.arctan(x[1] / x[0]) / (2 * np.pi) + (0.5 if x[0] < 0 else 0)
    return rows(10 * (x[2] - 10 * angle), 10 * (np.hypot(x[0], x[1]) - 1), x[2])


def helical_jacobian(x):
    radius = np.hypot(x[0], x[1])
    factor = 100 / (2 * np.pi * radius**2)
    return rows([factor * x[1], -factor * x[0], 10], [10 * x[0] / radius, 10 * x[1] / radius, 0], [0, 0, 1])


def bard_jacobian(x):
    square = (BARD_V * x[1] + BARD_W * x[2]) ** 2
    return np.stack([-np.ones(15), BARD_U * BARD_V / square, BARD_U * BARD_W / square], axis=1)


def gaussian_jacobian(x):
    away = GAUSSIAN_T - x[2]
    bell = np.exp(-x[1] * away**2 / 2)
    return np.stack([bell, -x[0] * bell * away**2 / 2, x[0] * bell * x[1] * away], axis=1)


def kowalik_jacobian(x):
    u = KOWALIK_U
    above, below = u * u + u * x[1], u * u + u * x[2] + x[3]
    return np.stack([-above / below, -x[0] * u / below, x[0] * above * u / below**2, x[0] * above / below**2], axis=1)


def dennis_parts(x):
    t = DENNIS_T
    return x[0] + t * x[1] - np.exp(t), x[2] + x[3] * np.sin(t) - np.cos(t)


def dennis_jacobian(x):
    first, second = (2 * part for part in dennis_parts(x))
    return np.stack([first, first * DENNIS_T, second, second * np.sin(DENNIS_T)], axis=1)


def dennis(x):
    first, second = dennis_parts(x)
    return first**2 + second**2


def trigonometric(x):
    return len(x) - np.cos(x).sum() + TEN * (1 - np.cos(x)) - np.sin(x)


def dimensioned(x):
    weighted = TEN.dot(x - 1)
    return np.concatenate([x - 1, [weighted, weighted**2]])


SUMS = {
    "rosenbrock": (rosenbrock, rosenbrock_jacobian),
    "freudensteinRoth": (
        lambda x: rows(-13 + x[0] + ((5 - x[1]) * x[1] - 2) * x[1], -29 + x[0] + ((x[1] + 1) * x[1] - 14) * x[1]),
        lambda x: rows([1, 10 * x[1] - 3 * x[1] ** 2 - 2], [1, 3 * x[1] ** 2 + 2 * x[1] - 14]),
    ),
    "powellBadlyScaled": (
        lambda x: rows(1e4 * x[0] * x[1] - 1, np.exp(-x[0]) + np.exp(-x[1]) - 1.0001),
        lambda x: rows([1e4 * x[1], 1e4 * x[0]], [-np.exp(-x[0]), -np.exp(-x[1])]),
    ),
    "brownBadlyScaled": (
        lambda x: rows(x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2),
        lambda x: rows([1, 0], [0, 1], [x[1], x[0]]),
    ),
    "beale": (
        lambda x: np.array([1.5, 2.25, 2.625]) - x[0] * (1 - x[1] ** TEN[:3]),
        lambda x: np.stack([x[1] ** TEN[:3] - 1, x[0] * TEN[:3] * x[1] ** (TEN[:3] - 1)], axis=1),
    ),
    "jennrichSampson": (
        lambda x: 2 + 2 * TEN - np.exp(TEN * x[0]) - np.exp(TEN * x[1]),
        lambda x: np.stack([-TEN * np.exp(TEN * x[0]), -TEN * np.exp(TEN * x[1])], axis=1),
    ),
    "helicalValley": (helical, helical_jacobian),
    "bard": (lambda x: BARD_Y - x[0] - BARD_U / (BARD_V * x[1] + BARD_W * x[2]), bard_jacobian),
    "gaussian": (lambda x: x[0] * np.exp(-x[1] * (GAUSSIAN_T - x[2]) ** 2 / 2) - GAUSSIAN_Y, gaussian_jacobian),
    "box": (
        lambda x: np.exp(-BOX_T * x[0]) - np.exp(-BOX_T * x[1]) - x[2] * (np.exp(-BOX_T) - np.exp(-10 * BOX_T)),
        lambda x: np.stack(
            [-BOX_T * np.exp(-BOX_T * x[0]), BOX_T * np.exp(-BOX_T * x[1]), np.exp(-10 * BOX_T) - np.exp(-BOX_T)], axis=1
        ),
    ),
    "powellSingular": (singular, singular_jacobian),
    "wood": (
        lambda x: rows(
            10 * (x[1] - x[0] ** 2),
            1 - x[0],
            S90 * (x[3] - x[2] ** 2),
            1 - x[2],
            S10 * (x[1] + x[3] - 2),
            (x[1] - x[3]) / S10,
        ),
        lambda x: rows(
            [-20 * x[0], 10, 0, 0],
            [-1, 0, 0, 0],
            [0, 0, -2 * S90 * x[2], S90],
            [0, 0, -1, 0],
            [0, S10, 0, S10],
            [0, 1 / S10, 0, -1 / S10],
        ),
    ),
    "kowalikOsborne": (
        lambda x: KOWALIK_Y
        - x[0] * (KOWALIK_U**2 + KOWALIK_U * x[1]) / (KOWALIK_U**2 + KOWALIK_U * x[2] + x[3]),
        kowalik_jacobian,
    ),
    "brownDennis": (dennis, dennis_jacobian),
    "trigonometric": (
        trigonometric,
        lambda x: np.tile(np.sin(x), (len(x), 1)) + np.diag(TEN * np.sin(x) - np.cos(x)),
    ),
    "extendedRosenbrock": (rosenbrock, rosenbrock_jacobian),
    "extendedPowell": (singular, singular_jacobian),
    "variablyDimensioned": (
        dimensioned,
        lambda x: np.concatenate([np.eye(len(x)), [TEN], [2 * TEN * TEN.dot(x - 1)]]),
    ),
}


def misra(b, x):
    return b[0] * (1 - np.exp(-b[1] * x))


def chwirut(b, x):
    return np.exp(-b[0] * x) / (b[1] + b[2] * x)


def lanczos(b, x):
    return b[0] * np.exp(-b[1] * x) + b[2] * np.exp(-b[3] * x) + b[4] * np.exp(-b[5] * x)


def gauss(b, x):
    return (
        b[0] * np.exp(-b[1] * x)
        + b[2] * np.exp(-((x - b[3]) ** 2) / b[4] ** 2)
        + b[5] * np.exp(-((x - b[6]) ** 2) / b[7] ** 2)
    )


def cubics(b, x):
    return (b[0] + b[1] * x + b[2] * x**2 + b[3] * x**3) / (1 + b[4] * x + b[5] * x**2 + b[6] * x**3)


def enso(b, x):
    def wave(period, c, s):
        return c * np.cos(2 * np.pi * x / period) + s * np.sin(2 * np.pi * x / period)

    return b[0] + wave(12, b[1], b[2]) + wave(b[3], b[4], b[5]) + wave(b[6], b[7], b[8])


MODELS = {
    "Bennett5": lambda b, x: b[0] * (b[1] + x) ** (-1 / b[2]),
    "BoxBOD": misra,
    "Chwirut1": chwirut,
    "Chwirut2": chwirut,
    "DanWood": lambda b, x: b[0] * x ** b[1],
    "Eckerle4": lambda b, x: (b[0] / b[1]) * np.exp(-0.5 * ((x - b[2]) / b[1]) ** 2),
    "ENSO": enso,
    "Gauss1": gauss,
    "Gauss2": gauss,
    "Gauss3": gauss,
    "Hahn1": cubics,
    "Kirby2": lambda b, x: (b[0] + b[1] * x + b[2] * x**2) / (1 + b[3] * x + b[4] * x**2),
    "Lanczos1": lanczos,
    "Lanczos2": lanczos,
    "Lanczos3": lanczos,
    "MGH09": lambda b, x: b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3]),
    "MGH10": lambda b, x: b[0] * np.exp(b[1] / (x + b[2])),
    "MGH17": lambda b, x: b[0] + b[1] * np.exp(-x * b[3]) + b[2] * np.exp(-x * b[4]),
    "Misra1a": misra,
    "Misra1b": lambda b, x: b[0] * (1 - (1 + b[1] * x / 2) ** -2),
    "Misra1c": lambda b, x: b[0] * (1 - (1 + 2 * b[1] * x) ** -0.5),
    "Misra1d": lambda b, x: b[0] * b[1] * x / (1 + b[1] * x),
    "Nelson": lambda b, x, second: b[0] - b[1] * x * np.exp(-b[2] * second),
    "Rat42": lambda b, x: b[0] / (1 + np.exp(b[1] - b[2] * x)),
    "Rat43": lambda b, x: b[0] / (1 + np.exp(b[1] - b[2] * x)) ** (1 / b[3]),
    "Roszman1": lambda b, x: b[0] - b[1] * x - np.arctan(b[2] / (x - b[3])) / np.pi,
    "Thurber": cubics,
}


def nist_residuals(path):
    """Of every data set a function of its parameters."""
    found = {}
    with open(path, encoding="utf-8") as file:
        blocks = file.read().rstrip("\n").split("\n\n")[1:]
    for block in blocks:
        name, *lines = block.split("\n")
        read = lambda key: [np.array(line.split()[1:], dtype=float) for line in lines if line.startswith(key + " ")]
        y = read("y")[0]
        response = np.log(y) if name == "Nelson" else y
        found[name] = (lambda b, model=MODELS[name], x=read("x"), y=response: model(b, *x) - y, None)
    return found


class Evaluations:
    """Counts and times what a solver asks for."""

    def __init__(self):
        self.values = self.gradients = 0
        self.seconds = 0.0

    def value(self, of):
        def counted(x):
            self.values += 1
            start = time.perf_counter()
            result = of(x)
            self.seconds += time.perf_counter() - start
            return result

        return counted

    def gradient(self, of):
        def counted(x):
            self.gradients += 1
            start = time.perf_counter()
            result = of(x)
            self.seconds += time.perf_counter() - start
            return result

        return counted


def differences(gradient, x):
    """The Hessian, from gradients along the axes."""
    here = gradient(x)
    H = np.empty((len(x), len(x)))
    for i in range(len(x)):
        step = 1.5e-8 * max(1.0, abs(x[i]))
        moved = x.copy()
        moved[i] += step
        H[i] = (gradient(moved) - here) / step
    return (H + H.T) / 2


def minimizing(objective, job, most):
    value, gradient = objective
    method = job["theirs"]
    options = {"maxiter": most}
    if method in ("BFGS", "CG", "dogleg", "trust-ncg", "trust-exact"):
        options["gtol"] = 1e-5
    elif method == "L-BFGS-B":
        options |= {"gtol": 1e-5, "ftol": 0, "maxfun": 10 * most}
    elif method == "Nelder-Mead":
        options |= {"xatol": 1e-4, "fatol": 1e-4, "maxfev": 10 * most}
    bounds = job["bounds"] and optimize.Bounds(
        [-np.inf if low is None else low for low, _ in job["bounds"]],
        [np.inf if high is None else high for _, high in job["bounds"]],
    )

    def run(evaluations):
        slopes = evaluations.gradient(gradient)
        given = {} if method == "Nelder-Mead" else {"jac": slopes}
        if method in ("dogleg", "trust-ncg", "trust-exact"):
            given["hess"] = lambda x: differences(slopes, x)
        found = optimize.minimize(
            evaluations.value(value), job["x"], method=method, bounds=bounds, options=options, **given
        )
        return int(found.nit), float(found.fun)

    return run


def fitting(functions, job, most):
    residuals, jacobian = functions

    def run(evaluations):
        given = {} if jacobian is None else {"jac": evaluations.gradient(jacobian)}
        found = optimize.least_squares(
            evaluations.value(residuals), job["x"], method=job["theirs"], max_nfev=most, **given
        )
        # One Jacobian begins each iteration; MINPACK does not say how many there were when it takes differences.
        return None if found.njev is None else int(found.njev), 2 * float(found.cost)

    return run


def solving(functions, job, most):
    residuals, jacobian = functions

    def run(evaluations):
        value = evaluations.value(residuals)
        if job["theirs"] == "hybr":
            found = optimize.root(value, job["x"], method="hybr", jac=evaluations.gradient(jacobian), options={"xtol": 1e-10})
            return None, float(np.abs(found.fun).max())
        found = optimize.root(value, job["x"], method=job["theirs"], options={"fatol": 1e-10, "maxiter": 1000})
        return int(found.nit), float(np.abs(found.fun).max())

    return run


def measure(run, effort):
    def once():
        evaluations = Evaluations()
        start = time.perf_counter()
        iterations, value = run(evaluations)
        return time.perf_counter() - start, evaluations, iterations, value

    spent = 0.0
    while spent == 0 or spent < effort["warmUp"]:
        spent += once()[0]
    seconds, beyond, spent = [], [], 0.0
    while spent < effort["most"] and (len(seconds) < effort["rounds"] or spent < effort["seconds"]):
        took, evaluations, iterations, value = once()
        seconds.append(took)
        beyond.append(took - evaluations.seconds)
        spent += took
    counts = {"values": evaluations.values, "gradients": evaluations.gradients, "value": value}
    if iterations is not None:
        counts["iterations"] = iterations
    return {**counts, "seconds": seconds, "beyond": beyond}


def main():
    wanted = json.load(sys.stdin)
    functions = {**SUMS, **nist_residuals(wanted["nist"])}
    objectives = {
        "chain of 10": (chain, chain_gradient),
        "valleys": (valleys, valleys_gradient),
        "valleys within bounds": (valleys, valleys_gradient),
    }
    for name, (residuals, jacobian) in SUMS.items():
        objectives[name] = (
            lambda x, residuals=residuals: float(np.square(residuals(x)).sum()),
            lambda x, residuals=residuals, jacobian=jacobian: 2 * residuals(x) @ jacobian(x),
        )
    ways = {"minimize": minimizing, "large": minimizing, "leastSquares": fitting, "root": solving}
    answers = []
    for job in wanted["jobs"]:
        row = {name: job[name] for name in ("part", "method", "problem")}
        print(f"SciPy: {job['theirs']} on {job['problem']}", file=sys.stderr, flush=True)
        job["x"] = np.array(job["start"], dtype=float)
        try:
            way = ways[job["part"]]
            given = (objectives if way is minimizing else functions)[job["problem"]]
            start = given[0](job["x"])
            start = start if way is minimizing else float(np.square(start).sum())
            if not abs(start - job["atStart"]) <= 1e-9 * abs(job["atStart"]):
                raise ValueError(f"another function: {start} at the start instead of {job['atStart']}")
            answers.append({**row, **measure(way(given, job, wanted["mostIterations"]), wanted["effort"])})
        except Exception as error:
            answers.append({**row, "error": str(error)})
    # What is not finite is no JSON.
    for row in answers:
        if not np.isfinite(row.get("value", 0)):
            del row["value"]
    print(json.dumps({"version": scipy.__version__, "rows": answers}))


main()
