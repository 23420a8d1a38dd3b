"""The supply chain: locked requirements, their licenses, the bill of materials."""
