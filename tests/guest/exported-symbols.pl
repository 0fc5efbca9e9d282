# Prints the symbols that a Linux kernel image exports to modules, as the build of a module wants them (Module.symvers).
# Each entry of __ksymtab and __ksymtab_gpl is three addresses of 8 bytes: the value, the name, the namespace.
use strict;
use warnings;

open my $file, '<:raw', $ARGV[0] or die "$ARGV[0]: $!";
my $image = do { local $/; <$file> };

# ELF64: where the section headers are, how large each is, how many, and which one holds their names.
my ($headers) = unpack 'x40 Q<', $image;
my ($size, $count, $names) = unpack 'x58 v v v', $image;
my @sections = map {
    my ($name, $type, $flags, $address, $offset, $bytes) = unpack 'V V Q< Q< Q< Q<', substr($image, $headers + $_ * $size, 40);
    { name => $name, type => $type, address => $address, offset => $offset, bytes => $bytes };
} 0 .. $count - 1;

sub text { my ($at) = @_; return unpack 'Z*', substr($image, $at, 256) }

# Section type 8 takes no room in the file.
sub offset_of {
    my ($address) = @_;
    for my $section (@sections) {
        next if $section->{address} == 0 || $section->{type} == 8;
        my $inside = $address - $section->{address};
        return $section->{offset} + $inside if $inside >= 0 && $inside < $section->{bytes};
    }
    die sprintf 'no section holds address %x', $address;
}

my $printed = 0;
for my $section (@sections) {
    my $name = text($sections[$names]{offset} + $section->{name});
    my $kind = { __ksymtab => 'EXPORT_SYMBOL', __ksymtab_gpl => 'EXPORT_SYMBOL_GPL' }->{$name} or next;
    for (my $at = 0; $at < $section->{bytes}; $at += 24) {
        my (undef, $symbol) = unpack 'Q< Q<', substr($image, $section->{offset} + $at, 16);
        print join("\t", '0x00000000', text(offset_of($symbol)), 'vmlinux', $kind, ''), "\n";
        $printed++;
    }
}
die "only $printed symbols" if $printed < 3000;
