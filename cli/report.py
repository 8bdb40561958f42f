def report(): 'x'
