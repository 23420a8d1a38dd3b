"""What is made from the code or from other files: pages, pictures, the dashboard, its rules."""
