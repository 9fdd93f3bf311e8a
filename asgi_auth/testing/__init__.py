"""What an application's own tests need."""
