"""What tests do in one part of the product and what they look at there, on a database of their own."""
