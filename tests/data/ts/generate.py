"""Makes the `.ts` files of this directory and `expected.json`, what aeon and sktime read from them.

    pip install aeon==1.6.0 sktime==1.2.0
    python generate.py

Files named `aeon_...` and `sktime_...` are written by `save_to_ts_file` and the `write_..._to_tsfile` functions; the others
have what the readers take and no writer writes. All numbers are random. For every file `expected.json` has the readers that
take it, each with `x` (cases, dimensions, values; null is a missing value) and `y` (null without labels). Both readers turn
names into small letters; aeon's takes no time stamps with signs or without a decimal point.
"""

import glob
import json
import os
import shutil
import warnings

import numpy as np
import pandas as pd
from aeon.datasets import load_from_ts_file, save_to_ts_file
from sktime.datasets import (
    load_from_tsfile_to_dataframe,
    write_dataframe_to_tsfile,
    write_ndarray_to_tsfile,
    write_panel_to_tsfile,
)

HERE = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(5)


def series(*shape):
    return rng.normal(size=shape).round(4)


def frame(cases):
    """sktime's nested frame of cases, each [dimensions][length]."""
    columns = range(len(cases[0]))
    return pd.DataFrame({f"dim_{d}": [pd.Series(case[d]) for case in cases] for d in columns})


def with_gaps(x, share):
    x = x.copy()
    x[rng.random(x.shape) < share] = np.nan
    x[..., 1] = series(*x.shape[:-1])  # every series has a value
    return x


def by_aeon():
    def save(name, x, y=None, kind=None, header=None):
        save_to_ts_file(x, y, label_type=kind, path=HERE, problem_name=f"aeon_{name}", header=header)

    save("classes", series(4, 3, 5), np.array([2, 10, 1, 2]), "classification", "Four cases. " * 12)
    save("univariate", series(3, 1, 6), np.array(["up", "down", "up"]), "classification")
    save("unequal", [series(2, n) for n in (4, 2, 3)], np.array(["b", "a", "b"]), "classification")
    save("blanks", series(4, 1, 3), np.array(["left hand", "right hand", "none", "left hand"]), "classification")
    save("targets", series(3, 2, 4), series(3), "regression")
    save("unlabelled", series(2, 3, 4))
    save("unlabelled_univariate", series(2, 1, 4))
    save("missing", with_gaps(series(3, 2, 8), 0.3), np.array([0.0, 1.0, 0.0]), "classification")
    padded = series(3, 2, 6)
    padded[0, :, 4:] = padded[1, :, 2:] = np.nan
    save("padded", padded, np.array(["a", "b", "a"]), "classification")


def by_sktime():
    def move(name):
        """Out of the directory that the writers make."""
        shutil.move(f"{HERE}/sktime_{name}/sktime_{name}.ts", f"{HERE}/sktime_{name}.ts")
        os.rmdir(f"{HERE}/sktime_{name}")

    def panel(name, x, y=None):
        write_panel_to_tsfile(x, HERE, target=y, problem_name=f"sktime_{name}", header="A header " * 15)
        move(name)

    panel("classes", series(4, 3, 5), np.array(["walk", "run", "walk", "sit"]))
    panel("unequal", frame([series(2, n) for n in (4, 2, 3)]), np.array([3, 1, 2]))
    panel("unlabelled", series(2, 3, 4))
    panel("unlabelled_univariate", series(2, 1, 4))
    panel("blanks", series(3, 2, 3), np.array(["on foot", "by car", "by car"]))
    write_dataframe_to_tsfile(
        frame([series(1, n) for n in (2, 3)]),
        HERE,
        problem_name="sktime_more_classes",
        class_label=["z", "y", "x"],
        class_value_list=["x", "z"],
    )
    move("more_classes")
    # Classes are known, but not those of the cases.
    write_ndarray_to_tsfile(
        series(2, 1, 3), HERE, problem_name="sktime_unknown_classes", class_label=["a", "b"], missing_values="?"
    )
    move("unknown_classes")


HEADER = "@problemName p\n@timeStamps false\n@univariate {}\n@classLabel true a b\n@data\n"
FORMS = {
    "percent": "% A comment\n%\n%# more\nA line of words.\n\n" + HEADER.format("true") + "1,2.5:a\n3,4:b\n",
    "letters": "@PROBLEMNAME p\n@TimeStamps FALSE\n@Missing False\n@UNIVARIATE True\n@equallength TRUE\n"
    "@classlabel True Up Down\n@DATA\n1,2:up\n3,4:DOWN\n5,6:Up\n",
    "tags": "@data_source x\n@problemName p\n@problemName q\n@timestamps false\n@univariate true\n@univariate false\n"
    "@dimension 2\n@classLabel true a b b\n@path /a b\n@data\n 1 , 2 : 3 , 4 : a \n5,6:\t7,8:b\n",
    "contradicted": "@problemName p\n@timeStamps false\n@missing false\n@univariate true\n@dimensions 3\n@equalLength true\n"
    "@seriesLength 127\n@classLabel true a b\n@data\n1,?,3:4,5,NaN:a\n1,2:3,4:b\n",
    "length": "@problemName p\n@timeStamps false\n@univariate false\n@equalLength true\n@seriesLength 3\n"
    "@classLabel true a b\n@data\n1,2,3,4:5,6,7,8:a\n1,2,3,4:5,6,7,8:b\n",
    "unnamed_class": HEADER.format("true") + "1,2:c\n3,4:a\n5,6:B2\n",
    "no_label_tag": "@problemName p\n@univariate false\n@data\n1,2:3,4:x\n5,6:7,8:10\n",
    "both_labels": "@problemName p\n@timeStamps false\n@univariate true\n@classLabel true 1.5 2\n@targetLabel true\n@data\n"
    "1,2:1.5\n3,4:2\n",
    "false_with_names": "@problemName p\n@timeStamps false\n@univariate false\n@classLabel false a b\n@data\n1,2:3,4\n5,6:7,8\n",
    "numbers": HEADER.format("true") + "+1,-.5,1.,1e-3,1E2,007:a\n1.5e+2,-0,3,4,5,6:b\n",
    "dates": "@problemName p\n@timeStamps True\n@missing false\n@univariate false\n@classLabel true 1 2\n@data\n"
    "(2007-01-01 00:00:00,241.97),(2007-01-01 00:01:00,241.75):(2007-01-01 00:00:00,1.5),(2007-01-01 00:01:00,2.5):1\n"
    "(2007-12-31 23:59:00,0.25),(2008-01-01 00:00:00,0.5):(2007-12-31 23:59:00,3.5),(2008-01-01 00:00:00,4.5):2\n",
    "stamps": "@problemName p\n@timeStamps true\n@univariate false\n@targetLabel false\n@data\n"
    "(0,1) , (1,-2.5),(5,3):(0,4),(1,?),(5,6)\n(2,1),(3,2):(2,3),(3,nan)\n",
    "stamps_class": "@problemName p\n@timeStamps true\n@univariate true\n@classLabel true a b\n@data\n(-1,1.5),(0,2.5): b\n",
}
# A dash of the Windows code page, as in comments of the regression archive.
BYTES = {"code_page": b"# 30\x96200 beats\n" + HEADER.format("true").encode() + b"1,2:a\n3,4:b\n"}


def values(cases):
    return [[[None if np.isnan(v) else float(v) for v in s] for s in case] for case in cases]


def read_aeon(path):
    encoding = "cp1252" if "code_page" in path else "utf-8"
    x, y = load_from_ts_file(path, encoding=encoding)
    # Without labels it gives empty ones.
    return {"x": values(x), "y": None if not any(map(str, y)) else y.tolist()}


def read_sktime(path):
    encoding = "cp1252" if "code_page" in path else "utf-8"
    found = load_from_tsfile_to_dataframe(path, encoding=encoding)
    frame, y = found if isinstance(found, tuple) else (found, None)
    cases = [[cell.to_numpy(dtype=float) for cell in row] for _, row in frame.iterrows()]
    # The ':' at the end of a case without a label looks like an empty dimension to it.
    if all(len(case[-1]) == 0 for case in cases):
        cases = [case[:-1] for case in cases]
    return {"x": values(cases), "y": None if y is None else y.tolist()}


def main():
    warnings.simplefilter("ignore")
    for old in glob.glob(f"{HERE}/*.ts"):
        os.remove(old)
    by_aeon()
    by_sktime()
    for name, text in FORMS.items():
        BYTES[name] = text.encode()
    for name, data in BYTES.items():
        with open(f"{HERE}/{name}.ts", "wb") as file:
            file.write(data)

    lines = []
    for path in sorted(glob.glob(f"{HERE}/*.ts")):
        name = os.path.basename(path)[:-3]
        readers = {}
        for reader, read in (("aeon", read_aeon), ("sktime", read_sktime)):
            try:
                readers[reader] = read(path)
            except Exception as error:
                print(f"{name}: {reader} refuses it: {error!r}"[:150])
        assert readers, name
        lines.append(f"{json.dumps(name)}: {json.dumps(readers)}")
    with open(f"{HERE}/expected.json", "w") as file:
        file.write("{\n" + ",\n".join(lines) + "\n}\n")


main()
