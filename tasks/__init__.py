"""The tasks that come with acdc, one file each."""
