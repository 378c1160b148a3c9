"""One file per command. Each is a function that reads like the sentence that describes it, and returns a result that can show itself."""
