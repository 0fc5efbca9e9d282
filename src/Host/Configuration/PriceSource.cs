using System.Globalization;
using ZeroFlow.Host.Live;

namespace ZeroFlow.Host.Configuration;

/// <summary>Reads what requests to the bucket cost.</summary>
internal sealed class PriceSource(SettingLayers layers, ConfigurationErrors errors)
{
    private const int CurrencyMax = 8;

    /// <summary>The prices that are set, and the defaults of the others.</summary>
    public PriceList Read()
    {
        var list = new PriceList();
        return new PriceList
        {
            Currency = Currency(list.Currency),
            PutsPerThousand = Price(SettingKeys.PricesPuts, list.PutsPerThousand),
            GetsPerThousand = Price(SettingKeys.PricesGets, list.GetsPerThousand),
            StorageGigabyteMonth = Price(SettingKeys.PricesStorage, list.StorageGigabyteMonth),
            TransferGigabyte = Price(SettingKeys.PricesTransfer, list.TransferGigabyte),
        };
    }

    private string Currency(string known)
    {
        if (layers.Find(SettingKeys.PricesCurrency) is not { } setting) return known;
        if (setting.Value.Trim() is { Length: > 0 and <= CurrencyMax } word) return word;
        errors.Add(setting, SettingKeys.PricesCurrency, $"a word of at most {CurrencyMax} letters, such as EUR");
        return known;
    }

    private double Price(string key, double known)
    {
        if (layers.Find(key) is not { } setting) return known;
        if (double.TryParse(setting.Value, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double price) && price <= 1e6)
            return price;
        errors.Add(setting, key, "a price, such as 0.005");
        return known;
    }
}
