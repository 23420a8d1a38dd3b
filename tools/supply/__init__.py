"""What the project is made of: locked requirements, their licences, the bill of materials."""
