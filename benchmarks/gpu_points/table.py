def table(report):
    return str(len(report["rows"]))
