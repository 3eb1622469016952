// Prints what the build reads.
for (const word of ["oak", "elm", "fir", "elm"]) console.log(word);
