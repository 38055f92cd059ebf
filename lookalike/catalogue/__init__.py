"""What a catalogue is, for all who read or write one. No gRPC, no torch."""
