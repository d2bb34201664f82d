#!/bin/bash
#SBATCH --job-name=fallline
#SBATCH --array=1-{{machines}}
#SBATCH --cpus-per-task={{workers}}
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --signal=B:TERM@60
#SBATCH --open-mode=append

# sbatch this from the folder of the module. The worker takes the place of this shell, so that it hears the SIGTERM that Slurm sends 60
# seconds before the end of the job, or when the job is preempted, and gives its trials back at once.
set -euo pipefail
export PATH="$PWD/node_modules/.bin:$PATH"
exec fallline study worker {{module}} --study {{study}} --name {{name}} --trials {{trials}} --workers {{workers}}
