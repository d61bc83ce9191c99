"""A page that shows recordings and their events, plays them, and lets its reader change them."""
