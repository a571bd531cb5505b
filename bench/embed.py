"""embed.py OUTPUT.c FILE...: the files as C arrays, and a table of them by name."""
import os
import sys

with open(sys.argv[1], "w", encoding="ascii") as target:
    target.write('#include "bench/peers_template.h"\n\n')
    table = []
    for number, path in enumerate(sys.argv[2:]):
        with open(path, "rb") as source:
            data = source.read()
        rows = [",".join(str(b - 256 if b > 127 else b) for b in data[i : i + 24]) + "," for i in range(0, len(data), 24)]
        target.write("static const char file_%d[] = {\n%s0};\n" % (number, "\n".join(rows) + "\n"))
        table.append('    {"%s", file_%d},\n' % (os.path.basename(path), number))
    target.write("const struct xt_peers_file xt_peers_files[] = {\n%s    {0, 0},\n};\n" % "".join(table))
