"""What a service is, as a neutral value; and the readers that make it from an init's own files."""
