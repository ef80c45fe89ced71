"""What a browser is served: `litz.js` (built from `src/`), its types, and the page `/tab`."""
