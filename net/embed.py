"""embed.py openapi.json openapi.c: the document, minified, as a C array."""
import json
import sys

with open(sys.argv[1], encoding="utf-8") as source:
    data = json.dumps(json.load(source), ensure_ascii=False, separators=(",", ":")).encode()
rows = [",".join(map(str, data[i : i + 24])) + "," for i in range(0, len(data), 24)]
with open(sys.argv[2], "w", encoding="ascii") as target:
    target.write('#include "net/openapi.h"\n\nconst uint8_t xt_openapi_json[] = {\n')
    target.write("\n".join(rows))
    target.write("\n};\nconst size_t xt_openapi_json_size = sizeof(xt_openapi_json);\n")
