"""The shapes of answers: those who make answers are checked against them, and the documents are made from them."""
