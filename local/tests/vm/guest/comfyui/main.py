"""ComfyUI's entry point, as far as a VM's unit calls it: takes its arguments, and becomes the stand-in."""

import argparse
import os

parser = argparse.ArgumentParser()
parser.add_argument("--listen", default="127.0.0.1")
parser.add_argument("--port", default="8188")
parser.add_argument("--base-directory", default=".")
parser.add_argument("--max-upload-size", default="1024")
parser.add_argument("--disable-auto-launch", action="store_true")
parser.add_argument("--cpu", action="store_true")
parser.add_argument("--disable-all-custom-nodes", action="store_true")
parser.add_argument("--database-url")
# It is loaded, and ends instead of serving.
parser.add_argument("--quick-test-for-ci", action="store_true")
given = parser.parse_args()
if given.quick_test_for_ci:
    raise SystemExit

# As ComfyUI does: what a person makes goes below the base directory.
os.makedirs(os.path.join(given.base_directory, "output"), exist_ok=True)
os.chdir(given.base_directory)
program = "/opt/given/stand-in"
arguments = ["--listen", given.listen, "--port", given.port, "--max-upload-size", given.max_upload_size]
arguments += ["--frontend", "/opt/given/frontend", "--speed", "30"]
os.execv(program, [program, *arguments])
