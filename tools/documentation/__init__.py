"""Makes pages, pictures, the dashboard and the rules from the code and from templates."""
