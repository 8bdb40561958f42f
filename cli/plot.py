def plot(): 'x'
