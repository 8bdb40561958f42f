def resume(): 'x'
