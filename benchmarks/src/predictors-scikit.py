# Scikit-learn's side of the predictors benchmark: data and settings as JSON on standard input, times and predictions as JSON out.
import json
import sys
import time

import numpy as np
import sklearn
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

given = json.load(sys.stdin)
X, y = np.array(given["train"]["rows"]), np.array(given["train"]["targets"])
Z = np.array(given["test"]["rows"])
mean, deviation = y.mean(), y.std()
d = X.shape[1]
kernel = ConstantKernel() * RBF(d**0.5, (0.1, 1e4)) + WhiteKernel(0.01, (1e-6, 2))
methods = {
    "RidgeCV": make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 5, 17))),
    "SVR (RBF, fixed)": make_pipeline(StandardScaler(), SVR(C=given["cost"], epsilon=given["epsilon"], gamma=given["gamma"] / d)),
    "GaussianProcessRegressor (one length scale)": make_pipeline(StandardScaler(), GaussianProcessRegressor(kernel)),
    "RandomForestRegressor (200 trees)": RandomForestRegressor(given["trees"], max_features=1 / 3, random_state=1),
    "GradientBoostingRegressor (300 trees)": GradientBoostingRegressor(n_estimators=300, subsample=0.7, max_features=0.5, random_state=1),
}
rows = []
for name, method in methods.items():
    times = []
    for _ in range(4):
        start = time.perf_counter()
        method.fit(X, (y - mean) / deviation)
        times.append(1000 * (time.perf_counter() - start))
    predicted = mean + deviation * method.predict(Z)
    rows.append({"method": name, "milliseconds": float(np.median(times[1:])), "predicted": predicted.tolist()})
json.dump({"version": sklearn.__version__, "rows": rows}, sys.stdout)
