"""What a catalogue is, for all who read or write one. Knows no service, and no model."""
