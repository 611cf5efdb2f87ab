"""Lets a daemon that was written for one init system run under another."""
