"""The supply chain: locked requirements, their licences, the bill of materials."""
