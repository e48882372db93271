"""Whether the real gcloud takes these commands, a line each on standard input: its own parser reads them, and nothing is run.

    parse-gcloud.py FOLDER_OF_THE_SDK <COMMANDS
"""

import shlex
import sys

sys.path[:0] = [f"{sys.argv[1]}/lib", f"{sys.argv[1]}/lib/third_party"]
from googlecloudsdk import gcloud_main  # noqa: E402

parser = gcloud_main.CreateCLI([])._CLI__parser
count = 0
for line in sys.stdin:
    try:
        parser.parse_args(shlex.split(line)[1:])
    except SystemExit:
        sys.exit(f"gcloud does not take: {line}")
    count += 1
print(count)
