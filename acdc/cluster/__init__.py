"""A Ray cluster: reaching it, and one large run spread over its workers by prompts."""
