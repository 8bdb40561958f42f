def inspect(): 'x'
