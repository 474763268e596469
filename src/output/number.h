// Numbers as text: the forms that Python and numpy give them in AlphaFold 3's files.
#ifndef NF_OUTPUT_NUMBER_H
#define NF_OUTPUT_NUMBER_H

enum { NUMBER_REPR_SIZE = 32 };

// repr(value): the fewest digits that read back as the same double, and always a point or an exponent; "nan", "inf".
void number_repr(double value, char text[NUMBER_REPR_SIZE]);
// The same as JSON can hold it: "null" for what is not finite.
void number_json(double value, char text[NUMBER_REPR_SIZE]);
// numpy.round(value, 2): to the nearest hundredth, ties to even.
double number_round2(double value);
// numpy.mean of n doubles, added in numpy's order (pairwise in blocks), since a tie in the last printed digit
// hangs on the last bit of the sum. n > 0.
double number_mean(const double *values, long n);

#endif
