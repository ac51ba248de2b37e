"""QR codes and certificate PDFs."""
