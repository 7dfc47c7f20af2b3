"""The morning report: charts, sentences and a page, made from one published file and nothing else."""
