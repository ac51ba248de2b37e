"""What is put on paper: the font, QR symbols, and an A4 page to draw on."""
