#!/usr/bin/perl
# Who may reach an origin: seckill-origins [OPTION...] LIST
#
# LIST is a file, or - for standard input, of addresses and networks, one a line, IPv4 or
# IPv6; # begins a remark. A CDN or scrubber publishes such a list, so that a timer can
# do:  curl -fsS https://cdn.example.com/addresses | seckill-origins -
#
# A list with a mistake, an empty one, and one that lost more than half of what was there
# are refused whole, and the old one stays in force: the exit status is 2 and the line is
# named. Otherwise it is written, nginx checks its whole configuration, and is reloaded;
# if nginx refuses, the old list is put back. Status 0: in force, or nothing changed.
#
#   --to FILE        the list for nginx            (/etc/seckill/origins.conf)
#   --always LIST    networks that are always on it, separated by commas (your own)
#   --shrink         it may lose more than half
#   --no-reload      only write
#   --nginx COMMAND  nginx with its options        (nginx)
use strict;
use warnings;
use Getopt::Long;
use Socket qw(inet_pton AF_INET AF_INET6);

my ($to, $always, $shrink, $reload, $nginx) = ('/etc/seckill/origins.conf', '', 0, 1, 'nginx');
GetOptions('to=s' => \$to, 'always=s' => \$always, 'shrink' => \$shrink, 'reload!' => \$reload, 'nginx=s' => \$nginx)
    && @ARGV == 1 or refuse('write: seckill-origins [OPTION...] LIST');

sub refuse {
    print STDERR "seckill-origins: $_[0]\n";
    exit 2;
}

# What is wrong with a network, as a sentence; undef if nothing is.
sub fault {
    my ($network) = @_;
    my ($address, $bits) = $network =~ m{^([0-9A-Fa-f:.]+)(?:/(\d{1,3}))?$} or return 'is no address and no network';
    my $family = $address =~ /:/ ? AF_INET6 : AF_INET;
    # inet_pton also takes no short forms such as 10.1, which mean something else.
    my $bytes = inet_pton($family, $address) or return 'is no address';
    my $all = 8 * length $bytes;
    $bits //= $all;
    return "has more than $all bits" if $bits > $all;
    return 'would let everybody in' if $bits < ($family == AF_INET ? 8 : 16);
    my $host = substr unpack('B*', $bytes), $bits;
    return 'has bits behind its prefix: an address, or a typing mistake' if $host =~ /1/;
    return;
}

my $source = $ARGV[0];
my @lines;
if ($source eq '-') { @lines = <STDIN> }
else {
    open my $file, '<', $source or refuse("$source cannot be read: $!");
    @lines = <$file>;
}
my (%networks, @faults);
for my $at (0 .. $#lines) {
    (my $line = $lines[$at]) =~ s/#.*//;
    $line =~ s/^\s+|\s+$//g;
    next if $line eq '';
    my $fault = fault($line);
    if ($fault) { push @faults, 'line ' . ($at + 1) . ": \"$line\" $fault" }
    else        { $networks{$line} = 1 }
}
for my $own (grep { $_ ne '' } split /,/, $always) {
    my $fault = fault($own);
    refuse("--always: \"$own\" $fault") if $fault;
}
refuse(join("\nseckill-origins: ", @faults) . "\nseckill-origins: nothing was changed") if @faults;
refuse("$source has no address; nothing was changed") unless %networks;

my @before;
if (open my $old, '<', $to) {
    @before = grep { defined } map { /^allow (\S+);$/ ? $1 : undef } <$old>;
}
my @kept = grep { $networks{$_} } @before;
refuse(sprintf '%s has only %d of the %d that are in force; if that is right, say --shrink; nothing was changed',
    $source, scalar @kept, scalar @before) if !$shrink && @before > 3 && @kept * 2 < @before;

$networks{$_} = 1 for grep { $_ ne '' } split /,/, $always;
my $text = "# Written by seckill-origins; a change made here is lost.\n" . join '', map { "allow $_;\n" } sort keys %networks;
my $old = -e $to ? do { open my $file, '<', $to or refuse("$to cannot be read: $!"); local $/; scalar <$file> } : undef;
exit 0 if defined $old && $old eq $text;

# A whole file under another name first, so that nginx never reads half of one.
sub put {
    my ($content) = @_;
    open my $new, '>', "$to.new" or refuse("$to.new cannot be written: $!");
    print {$new} $content or refuse("$to.new cannot be written: $!");
    close $new or refuse("$to.new cannot be written: $!");
    rename "$to.new", $to or refuse("$to cannot be replaced: $!");
}
put($text);
if ($reload) {
    if (system("$nginx -t >/dev/null 2>&1") != 0) {
        defined $old ? put($old) : unlink $to;
        refuse('nginx refuses its configuration (nginx -t says why); the old list stays');
    }
    system("$nginx -s reload") == 0 or refuse('nginx could not be reloaded; the new list is in force when it is');
}
printf "seckill-origins: %d networks, %d new\n", scalar keys %networks, scalar grep { my $n = $_; !grep { $_ eq $n } @before } keys %networks;
