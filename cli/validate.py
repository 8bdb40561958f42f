def validate(): 'x'
