"""What is made from the OpenAPI description: clients."""
