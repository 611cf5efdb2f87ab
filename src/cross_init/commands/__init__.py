"""What a person types: the words of the command lines, their help, and the commands of cross-init.

Not here: what a start goes through once its options are known (bridge.py).
"""
