using System.Text;

namespace ZeroFlow.Stages.Keys;

/// <summary>The secret that unlocks a store. Never printed: <see cref="ToString"/> hides it.</summary>
public sealed class Passphrase
{
    private readonly byte[] _utf8;

    /// <summary>Takes the passphrase as text; line ends at its end do not count, so that a file may close with one.</summary>
    /// <exception cref="ArgumentException">It is empty.</exception>
    public Passphrase(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        _utf8 = Encoding.UTF8.GetBytes(text.TrimEnd('\r', '\n'));
        if (_utf8.Length == 0) throw new ArgumentException("The passphrase is empty.", nameof(text));
    }

    internal ReadOnlySpan<byte> Utf8 => _utf8;

    /// <inheritdoc/>
    public override string ToString() => "(hidden)";
}
