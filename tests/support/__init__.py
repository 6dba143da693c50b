"""What do tests of several folders share? Servers, and the rules that every test is held to."""
