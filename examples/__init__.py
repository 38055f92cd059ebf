"""Small programs that use the client; docs/client.md tells what each shows."""
