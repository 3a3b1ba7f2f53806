"""What a teacher of the book needs: assignments, a grader, and files for other systems. Nothing leaves this machine.

`python -m hybridlib.teach --help` lists the commands. They work at the top of a clone of the book, and
read its folder `teach/`.
"""
