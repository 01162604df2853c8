#!/usr/bin/perl
# Who may reach an origin: seckill-origins [OPTION...] LIST
#
# LIST is a file, or - for standard input, of addresses and networks, one a line, IPv4 or
# IPv6; # begins a remark. A CDN or scrubber publishes such a list, so that a timer can
# do:  curl -fsSo list https://cdn.example.com/addresses && seckill-origins list
# A pipe would hand on the first half of a download that broke off.
#
# A list with a mistake, an empty one, one that lost more than half of what was there, and
# one whose networks together are more than a 64th of all addresses are refused whole, and
# the old one stays in force: the exit status is 2 and the line is named. Otherwise it is
# written, nginx checks its whole configuration, and is reloaded; if nginx refuses either,
# the old list is put back. Status 0: in force, or nothing changed. Two that run at the
# same time do it one after the other.
#
#   --to FILE        the list for nginx            (/etc/seckill/origins.conf); a second one
#                    beside it, origins-realip.conf, names whose X-Forwarded-For is believed
#   --always LIST    networks that are always on it, separated by commas (your own)
#   --shrink         it may lose more than half
#   --no-reload      only write
#   --nginx COMMAND  nginx with its options        (nginx)
use strict;
use warnings;
use Fcntl qw(:flock);
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

# The part of all addresses of its family that these networks have together, 0 to 1.
sub share {
    my ($family, @of) = @_;
    my ($sum, @wider) = (0);
    # The wider ones first, so that one within another is not counted twice.
    for my $network (sort { $a->[1] <=> $b->[1] } map { prefix($family, $_) } @of) {
        my ($bits, $length) = @$network;
        next if grep { substr($bits, 0, length) eq $_ } @wider;
        push @wider, $bits;
        $sum += 2**-$length;
    }
    return $sum;
}

# Its leading bits as text, and their number; nothing if it is of the other family.
sub prefix {
    my ($family, $network) = @_;
    my ($address, $length) = split m{/}, $network;
    return if ($address =~ /:/ ? AF_INET6 : AF_INET) != $family;
    my $bits = unpack 'B*', inet_pton($family, $address);
    $length //= length $bits;
    return [substr($bits, 0, $length), $length];
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
my %always = map { $_ => 1 } grep { $_ ne '' } split /,/, $always;
for my $own (sort keys %always) {
    my $fault = fault($own);
    refuse("--always: \"$own\" $fault") if $fault;
}
refuse(join("\nseckill-origins: ", @faults) . "\nseckill-origins: nothing was changed") if @faults;
refuse("$source has no address; nothing was changed") unless %networks;

for ([AF_INET, 'IPv4'], [AF_INET6, 'IPv6']) {
    my $share = share($_->[0], keys %networks);
    refuse(sprintf '%s has 1/%.0f of all %s addresses, which no CDN has; nothing was changed', $source, 1 / $share, $_->[1])
        if $share > 1 / 64;
}

open my $lock, '>>', "$to.lock" or refuse("$to.lock cannot be written: $!");
flock $lock, LOCK_EX or refuse("$to.lock cannot be locked: $!");
my @before;
if (open my $old, '<', $to) {
    # Older lists have "allow" before the network.
    @before = grep { defined } map { /^(?:allow (\S+)|(\S+) 1);$/ ? $1 // $2 : undef } <$old>;
}
# What the list itself had: the networks of --always were never lost.
my @listed = grep { !$always{$_} } @before;
my @kept = grep { $networks{$_} } @listed;
$networks{$_} = 1 for keys %always;
# Who may connect, for geo{} in conf/sites/origins.conf; and whose X-Forwarded-For is
# believed, if conf/sites/origin.conf includes that.
(my $realip = $to) =~ s/(\.conf)?$/-realip.conf/;
my %text = map {
    my ($file, $line) = @$_;
    $file => "# Written by seckill-origins; a change made here is lost.\n" . join '', map { sprintf "$line\n", $_ } sort keys %networks;
} [$to, '%s 1;'], [$realip, 'set_real_ip_from %s;'];
my %old = map { $_ => content($_) } keys %text;
exit 0 unless grep { ($old{$_} // '') ne $text{$_} } keys %text;
refuse(sprintf '%s has only %d of the %d that are in force; if that is right, say --shrink; nothing was changed',
    $source, scalar @kept, scalar @listed) if !$shrink && @listed > 3 && @kept * 2 < @listed;

# What a file holds; undef if there is none.
sub content {
    my ($path) = @_;
    return undef unless -e $path;
    open my $file, '<', $path or refuse("$path cannot be read: $!");
    local $/;
    return scalar <$file>;
}

# A whole file under another name first, so that nginx never reads half of one.
sub put {
    my ($path, $content) = @_;
    open my $new, '>', "$path.new" or refuse("$path.new cannot be written: $!");
    print {$new} $content or refuse("$path.new cannot be written: $!");
    close $new or refuse("$path.new cannot be written: $!");
    rename "$path.new", $path or refuse("$path cannot be replaced: $!");
}
put($_, $text{$_}) for sort keys %text;
if ($reload) {
    my $undo = sub {
        for (sort keys %old) { defined $old{$_} ? put($_, $old{$_}) : unlink $_ }
        refuse($_[0]);
    };
    system("$nginx -t >/dev/null 2>&1") == 0
        or $undo->('nginx refuses its configuration (nginx -t says why); the old list stays');
    # Left there, the new list would be taken for one in force at the next try.
    system("$nginx -s reload") == 0 or $undo->('nginx could not be reloaded (does it run?); the old list stays');
}
printf "seckill-origins: %d networks, %d new\n", scalar keys %networks, scalar grep { my $n = $_; !grep { $_ eq $n } @before } keys %networks;
